"""What waits to be sent is fresh, or is not sent."""

from app.channels.send_queue import SendQueue


def test_what_is_taken_in_time_keeps_its_order() -> None:
    queue = SendQueue()
    queue.put(b"one", 10.0)
    queue.put(b"two", 10.02)
    assert [queue.take(10.1), queue.take(10.1), queue.take(10.1)] == [b"one", b"two", None]
    assert queue.dropped == 0


def test_sound_that_has_grown_old_is_not_sent() -> None:
    queue = SendQueue(most_age_s=0.5)
    for step in range(10):
        queue.put(bytes([step]), step * 0.1)
    assert queue.take(1.05) == bytes([6])  # said 0.45 s ago; all before it is older than half a second
    assert queue.dropped == 6


def test_the_oldest_makes_room() -> None:
    queue = SendQueue(most_packets=3)
    for step in range(5):
        queue.put(bytes([step]), 1.0)
    assert len(queue) == 3
    assert queue.take(1.0) == bytes([2])
    queue.clear()
    assert (len(queue), queue.dropped) == (0, 4)
