"""A session of python3-etcd, step by step; prints one line for each step that went as expected.

Arguments: `HOST:PORT` of each member, the first being the one that is spoken to.
Prints `flood` when history shall be pushed out by many writes, and `kill` when the member that it
speaks to shall be killed; waits for a line in return to each.
"""

import sys
import threading
import time

import etcd

members = [(host, int(port)) for host, port in (word.split(':') for word in sys.argv[1:])]
client = etcd.Client(host=members[0][0], port=members[0][1], read_timeout=10)
ROOT = '/pyv2'
# Nothing may keep this session from its next request for so long.
TTL_S = 6


def step(name, condition):
    """Ends with exit code 1 when the condition does not hold."""
    if not condition:
        print(f'FAILED {name}', flush=True)
        sys.exit(1)
    print(f'ok {name}', flush=True)


def please(wish):
    """Asks whoever runs this session for something that it cannot do itself."""
    print(wish, flush=True)
    sys.stdin.readline()


def refused(kind, call, *args, **rest):
    """Whether the call ends in an error of this kind."""
    try:
        call(*args, **rest)
    except kind:
        return True
    return False


def in_background(work):
    """Runs `work` in a thread; gives the thread and the list that gets its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    return thread, results


# Whom we speak to.
urls = {f'http://{host}:{port}' for host, port in members}
step('machines', set(client.machines) == urls)
step('members', {member['clientURLs'][0] for member in client.members.values()} == urls)
step('leader', client.leader['clientURLs'][0] in urls)
step('version', client.version.startswith('3.') and client.cluster_version.startswith('3.'))
step('statistics', client.stats['id'] in client.members and 'setsSuccess' in client.store_stats)

# Keys.
if ROOT in client:
    client.delete(ROOT, recursive=True)
new = client.write(f'{ROOT}/a', 'one')
step('a new key', new.newKey and new.action == 'set' and new.value == 'one')
again = client.write(f'{ROOT}/a', 'zwei & drei <é>')
step('a key set again', not again.newKey and again._prev_node.value == 'one')
read = client.read(f'{ROOT}/a')
step('read', read.value == 'zwei & drei <é>' and read.modifiedIndex == again.modifiedIndex)
step('index headers', read.etcd_index >= read.modifiedIndex and read.raft_index > 0)
step('no such key', refused(etcd.EtcdKeyNotFound, client.get, f'{ROOT}/none'))
popped = client.pop(f'{ROOT}/a')
step('pop', popped.value == 'zwei & drei <é>' and f'{ROOT}/a' not in client)

# Compare and swap, compare and delete.
made = client.write(f'{ROOT}/cas', 'v1', prevExist=False)
step('create', made.newKey)
step('create twice', refused(etcd.EtcdAlreadyExist, client.write, f'{ROOT}/cas', 'x', prevExist=False))
step('update nothing', refused(etcd.EtcdKeyNotFound, client.write, f'{ROOT}/no', 'x', prevExist=True))
swapped = client.test_and_set(f'{ROOT}/cas', 'v2', 'v1')
step('swap by value', swapped.action == 'compareAndSwap' and swapped.createdIndex == made.createdIndex)
step('swap refused', refused(etcd.EtcdCompareFailed, client.test_and_set, f'{ROOT}/cas', 'x', 'v1'))
by_index = client.write(f'{ROOT}/cas', 'v3', prevIndex=swapped.modifiedIndex)
step('swap by index', by_index.value == 'v3')
step(
    'swap by an old index',
    refused(etcd.EtcdCompareFailed, client.write, f'{ROOT}/cas', 'x', prevIndex=made.modifiedIndex),
)
held = client.read(f'{ROOT}/cas')
held.value = 'v4'
step('update an object', client.update(held).value == 'v4')
step('update an old object', refused(etcd.EtcdCompareFailed, client.update, held))
step('delete refused', refused(etcd.EtcdCompareFailed, client.delete, f'{ROOT}/cas', prevValue='x'))
step('delete by value', client.delete(f'{ROOT}/cas', prevValue='v4').action == 'compareAndDelete')

# Directories.
made = client.write(f'{ROOT}/dir', None, dir=True)
step('a directory', made.dir and made.newKey)
step('a directory is no file', refused(etcd.EtcdNotFile, client.write, f'{ROOT}/dir', 'x'))
step('an empty directory', list(client.read(f'{ROOT}/dir').leaves)[0].key == f'{ROOT}/dir')
for name in ('b', 'a', 'c'):
    client.write(f'{ROOT}/dir/deep/{name}', name)
client.write(f'{ROOT}/dir/_hidden', 'x')
tree = client.read(f'{ROOT}/dir', recursive=True, sorted=True)
step('its leaves in order', [leaf.value for leaf in tree.leaves] == ['a', 'b', 'c'])
step('a hidden key by its name', client.read(f'{ROOT}/dir/_hidden').value == 'x')
step('a file is no directory', refused(etcd.EtcdNotDir, client.write, f'{ROOT}/dir/deep/a/x', '1'))
step('not empty', refused(etcd.EtcdDirNotEmpty, client.delete, f'{ROOT}/dir', dir=True))
queued = [client.write(f'{ROOT}/queue', str(at), append=True) for at in range(3)]
names = [int(entry.key.rsplit('/', 1)[1]) for entry in queued]
step('an ordered queue', names == sorted(names) and len(set(names)) == 3)
deleted = client.delete(f'{ROOT}/dir', recursive=True)
step('a tree deleted', deleted.action == 'delete' and deleted.dir and f'{ROOT}/dir/deep/a' not in client)
step('the root is read only', refused(etcd.EtcdRootReadOnly, client.delete, '/', recursive=True))

# A presence key that is refreshed while its owner lives.
client.write(f'{ROOT}/presence', 'here', ttl=TTL_S)
seen = client.read(f'{ROOT}/presence')
step('time to live', 0 < seen.ttl <= TTL_S and seen.expiration.endswith('Z'))
watching, events = in_background(
    lambda: client.watch(f'{ROOT}/presence', index=seen.modifiedIndex + 1, timeout=30)
)
for _ in range(5):
    time.sleep(TTL_S / 4)
    client.refresh(f'{ROOT}/presence', TTL_S)
step('refreshed beyond its time', client.read(f'{ROOT}/presence').value == 'here')
step('a refresh is no event', watching.is_alive())
watching.join(30)
step('expired once left alone', events[0].action == 'expire' and events[0]._prev_node.value == 'here')
step('gone', refused(etcd.EtcdKeyNotFound, client.refresh, f'{ROOT}/presence', TTL_S))

# Watching.
start = client.write(f'{ROOT}/watched/0', '0').modifiedIndex
for at in range(1, 4):
    client.write(f'{ROOT}/watched/{at}', str(at))
past = [client.watch(f'{ROOT}/watched', index=start, recursive=True).value]
step('an event of the past', past == ['0'])
eternal = client.eternal_watch(f'{ROOT}/watched', index=start, recursive=True)
step('an eternal watch from the past', [next(eternal).value for _ in range(4)] == ['0', '1', '2', '3'])
watching, events = in_background(lambda: [next(eternal).action for _ in range(3)])
client.write(f'{ROOT}/watched/4', '4')
client.test_and_set(f'{ROOT}/watched/4', 'five', '4')
client.delete(f'{ROOT}/watched/4')
watching.join(20)
step('an eternal watch goes on', events == [['set', 'compareAndSwap', 'delete']])
step('a watch in vain', refused(etcd.EtcdWatchTimedOut, client.watch, f'{ROOT}/quiet', timeout=1))
please('flood')
step('cleared history', refused(etcd.EtcdEventIndexCleared, client.watch, f'{ROOT}/flood', index=start))

# A lock, which one holds while another waits.
mine = etcd.Lock(client, 'work')
theirs = etcd.Lock(etcd.Client(host=members[-1][0], port=members[-1][1]), 'work')
step('the lock is taken', mine.acquire(lock_ttl=60) and mine.is_acquired)
step('the other does not get it', theirs.acquire(blocking=False, lock_ttl=60) is False)
waiting, got = in_background(lambda: theirs.acquire(lock_ttl=60))
time.sleep(0.5)
step('the other waits', waiting.is_alive())
step('the lock is renewed', mine.acquire(lock_ttl=60))
mine.release()
waiting.join(20)
step('the other has it', got == [True] and theirs.is_acquired and not mine.is_acquired)
theirs.release()
with etcd.Lock(client, 'work') as third:
    step('a lock for a block', third.is_acquired)

# The member that we speak to dies; another goes on.
many = etcd.Client(host=tuple(members), allow_reconnect=True, read_timeout=10)
before = many.write(f'{ROOT}/moving', 'before').modifiedIndex
survivor = etcd.Client(host=members[-1][0], port=members[-1][1])
watching, events = in_background(
    lambda: many.watch(f'{ROOT}/moving', index=before + 1, timeout=30).value
)
time.sleep(0.5)
please('kill')
for attempt in range(50):
    try:
        survivor.write(f'{ROOT}/moving', 'after')
        break
    except etcd.EtcdException:
        time.sleep(0.2)
watching.join(30)
step('a watch moved to another member', events == ['after'])
step('the client has moved', many.read(f'{ROOT}/moving').value == 'after')
client = survivor
client.delete(ROOT, recursive=True)
print('done', flush=True)
