"""A session of python3-etcd3, step by step; prints one line for each step that went as expected.

Arguments: host and port of a member.
"""

import sys
import threading
import time

import etcd3

host, port = sys.argv[1], int(sys.argv[2])
client = etcd3.client(host=host, port=port, timeout=10)


def step(name, condition):
    """Ends with exit code 1 when the condition does not hold."""
    if not condition:
        print(f'FAILED {name}', flush=True)
        sys.exit(1)
    print(f'ok {name}', flush=True)


# Put, get, delete, prefix.
client.delete_prefix('py/')
client.put('py/a', 'one')
value, meta = client.get('py/a')
step('put and get', value == b'one' and meta.key == b'py/a' and meta.version == 1)
previous = client.put('py/a', 'two', prev_kv=True).prev_kv
step('put with the previous value', previous.value == b'one')
for number in range(20):
    client.put(f'py/many/{number:02}', str(number))
found = [meta.key.decode() for _, meta in client.get_prefix('py/many/', sort_order='descend')]
step('prefix, descending', found == [f'py/many/{number:02}' for number in reversed(range(20))])
keys = [meta.key for value, meta in client.get_prefix('py/many/', keys_only=True) if value == b'']
step('prefix, keys only', len(keys) == 20)
step('range', len(list(client.get_range('py/many/05', 'py/many/10'))) == 5)
step('delete', client.delete('py/a') is True)
step('delete again', client.delete('py/a') is False)
step('get of nothing', client.get('py/a') == (None, None))
step('delete prefix', client.delete_prefix('py/many/').deleted == 20)

# Transactions.
client.put('py/balance', '100')
t = client.transactions
succeeded, responses = client.transaction(
    compare=[t.value('py/balance') == '100', t.version('py/balance') > 0],
    success=[t.put('py/balance', '90'), t.get('py/balance')],
    failure=[t.delete('py/balance')],
)
step('transaction succeeds', succeeded and responses[1][0][0] == b'90')
succeeded, responses = client.transaction(
    compare=[t.create('py/balance') == 0],
    success=[t.put('py/balance', 'no')],
    failure=[t.get('py/balance'), t.delete('py/nothing')],
)
step('transaction fails', not succeeded and responses[0][0][0] == b'90')
step('replace', client.replace('py/balance', '90', '80') is True)
step('replace refused', client.replace('py/balance', '90', '70') is False)
step('put if absent', client.put_if_not_exists('py/new', '1') is True)
step('put if absent, present', client.put_if_not_exists('py/new', '2') is False)

# Leases.
lease = client.lease(60)
client.put('py/leased', 'x', lease=lease)
step('lease keys', lease.keys == [b'py/leased'] and lease.granted_ttl == 60)
step('lease remaining', 50 < lease.remaining_ttl <= 60)
step('lease refresh', lease.refresh()[0].TTL == 60)
lease.revoke()
step('lease revoke', client.get('py/leased')[0] is None)
# Longer than the machine may stall between two refreshes, and before the watch is there.
short = client.lease(5)
client.put('py/short', 'x', lease=short)
for _ in range(14):
    time.sleep(0.5)
    short.refresh()
step('a lease kept alive lives beyond its time', client.get('py/short')[0] == b'x')
expired = threading.Event()
watch_id = client.add_watch_callback('py/short', lambda _: expired.set())
step('a lease not kept alive expires', expired.wait(15) and client.get('py/short')[0] is None)
client.cancel_watch(watch_id)

# Watches.
seen = []
done = threading.Event()


def on_response(response):
    """Collects events until the last one."""
    for event in response.events:
        seen.append((type(event).__name__, event.key.decode(), event.value.decode()))
        if event.key == b'py/watch/end':
            done.set()


start = client.put('py/watch/before', '0').header.revision
watch_id = client.add_watch_prefix_callback('py/watch/', on_response, start_revision=start)
client.put('py/watch/a', '1')
client.delete('py/watch/a')
client.put('py/watch/end', '2')
step('watch from a revision', done.wait(10) and seen == [
    ('PutEvent', 'py/watch/before', '0'),
    ('PutEvent', 'py/watch/a', '1'),
    ('DeleteEvent', 'py/watch/a', ''),
    ('PutEvent', 'py/watch/end', '2'),
])
client.cancel_watch(watch_id)

# The client's own lock, and one by transaction: four threads count to forty under it. (Under contention the client's
# own breaks with newer versions of tenacity, whatever the server.)
own_lock = client.lock('py-own-lock', ttl=20)
step('own lock', own_lock.acquire() and own_lock.is_acquired() and own_lock.release())
client.put('py/counter', '0')


def acquire(own, holder):
    """Creates the lock's key, which goes with its lease; waits for it to be deleted while somebody else has it."""
    while True:
        held = own.lease(20)
        created, _ = own.transaction(
            compare=[own.transactions.version('py/lock') == 0],
            success=[own.transactions.put('py/lock', holder, held)],
            failure=[],
        )
        if created:
            return held
        held.revoke()
        released = threading.Event()
        watch = own.add_watch_callback('py/lock', lambda _: released.set())
        if own.get('py/lock')[0] is not None:
            released.wait(5)
        own.cancel_watch(watch)


def count():
    """Adds ten to the counter, one by one, each under the lock."""
    own = etcd3.client(host=host, port=port, timeout=10)
    for _ in range(10):
        held = acquire(own, threading.current_thread().name)
        current = int(own.get('py/counter')[0])
        own.put('py/counter', str(current + 1))
        held.revoke()
    own.close()


threads = [threading.Thread(target=count) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
step('lock by transaction', client.get('py/counter')[0] == b'40')

# Members and status.
members = list(client.members)
step('members', len(members) == 3 and all(member.client_urls for member in members))
status = client.status()
step('status', status.leader.id in [member.id for member in members] and status.db_size > 0)
step('alarms', list(client.list_alarms()) == [])
client.compact(start)
try:
    client.get_response('py/balance')
    step('compaction', True)
finally:
    client.close()
print('done', flush=True)
