"""Kombu: direct, topic and fan-out exchanges, priorities, a rejected message that comes again, a simple queue. It takes a lock in
Redis for what was not acknowledged, and frees it by Lua.

Usage: kombu_round.py PORT FOLDER
"""

import socket
import sys

from kombu import Connection, Exchange, Queue

url = f"redis://127.0.0.1:{sys.argv[1]}/5"
options = {"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"}


def receive(connection, queues, count, requeue_first=False):
    """The bodies of `count` messages, acknowledged; the first is put back once if asked."""
    bodies = []

    def on_message(body, message):
        nonlocal requeue_first
        if requeue_first:
            requeue_first = False
            message.requeue()
            return
        bodies.append(body)
        message.ack()

    with connection.Consumer(queues, callbacks=[on_message], accept=["json"]):
        while len(bodies) < count:
            connection.drain_events(timeout=10)
        try:
            connection.drain_events(timeout=0.2)
        except socket.timeout:
            pass
    assert len(bodies) == count, bodies
    return bodies


with Connection(url, transport_options=options) as connection:
    direct = Exchange("direct", type="direct")
    queue = Queue("direct", direct, routing_key="direct")
    producer = connection.Producer()
    for number in range(300):
        producer.publish({"number": number}, exchange=direct, routing_key="direct", declare=[queue])
    bodies = receive(connection, [queue], 300, requeue_first=True)
    assert sorted(body["number"] for body in bodies) == list(range(300))

    ranked = Queue("ranked", direct, routing_key="ranked", max_priority=9)
    for priority in [9, 0, 6, 3, 0]:
        producer.publish({"priority": priority}, exchange=direct, routing_key="ranked", declare=[ranked], priority=priority)
    assert [body["priority"] for body in receive(connection, [ranked], 5)] == [0, 0, 3, 6, 9]

    topic = Exchange("topic", type="topic")
    north, all_news = Queue("north", topic, routing_key="news.north.*"), Queue("all", topic, routing_key="news.#")
    for key in ["news.north.rain", "news.south.sun", "sport.north.rain"]:
        producer.publish({"key": key}, exchange=topic, routing_key=key, declare=[north, all_news])
    assert [body["key"] for body in receive(connection, [north], 1)] == ["news.north.rain"]
    assert [body["key"] for body in receive(connection, [all_news], 2)] == ["news.north.rain", "news.south.sun"]

    # A fan-out goes by PUBLISH to each one that listens now.
    fan = Exchange("fan", type="fanout")
    heard: list[tuple[int, int]] = []
    with Connection(url) as first, Connection(url) as second:
        consumers = []
        for index, listener in enumerate([first, second]):
            def on_message(body, message, index=index):
                heard.append((index, body["number"]))
                message.ack()

            consumer = listener.Consumer([Queue(f"fan{index}", fan)], callbacks=[on_message], accept=["json"])
            consumer.consume()
            consumers.append(consumer)
            try:
                listener.drain_events(timeout=0.3)
            except socket.timeout:
                pass
        for number in range(20):
            producer.publish({"number": number}, exchange=fan, routing_key="", declare=[fan])
        for index, listener in enumerate([first, second]):
            while sum(who == index for who, _ in heard) < 20:
                listener.drain_events(timeout=10)
    assert sorted(heard) == [(index, number) for index in range(2) for number in range(20)]

    simple = connection.SimpleQueue("simple")
    simple.put({"hello": "world"})
    assert simple.qsize() == 1
    message = simple.get(timeout=5)
    assert message.payload == {"hello": "world"}
    message.ack()
    try:
        simple.get_nowait()
        raise AssertionError("a message came twice")
    except simple.Empty:
        simple.close()
print("kombu: 300 messages with one requeued, priorities, topics, fan-out, a simple queue")
