"""SQS to Lambda: batches as large as the mapping asks for, its batching window, and the 6 MB an invocation may carry.

MiniStack never takes more than 10 messages and knows no window. Here a batch leaves when it is full, when the window of its
oldest message has passed, or when its bodies come near the limit of an invocation.
"""

import threading
import time

# An invocation carries 6 MB; what surrounds a body in the event (ids, attributes, JSON escapes) needs some of it.
MAX_BODIES = 5_000_000


def install(lambda_svc, sqs) -> None:
    queues_lock, get_queue = sqs._queues_lock, sqs._get_q
    expire, sweep, collect = sqs._expire_retained, sqs._dlq_sweep, sqs._collect_msgs
    wake = lambda_svc._esm_wake
    iterate = lambda_svc._iter_all_esms

    def window_of(queue_arn: str) -> float:
        """The shortest window of the enabled mappings of this queue, in seconds."""
        windows = [
            float(mapping.get("MaximumBatchingWindowInSeconds") or 0)
            for _account, _region, mapping in iterate()
            if mapping.get("EventSourceArn") == queue_arn and mapping.get("Enabled", True)
        ]
        return min(windows, default=0.0)

    def fitting(messages, now, limit) -> tuple[int, bool]:
        """How many visible messages make one batch, and whether that batch is full."""
        count = size = 0
        for message in messages:
            if message.get("visible_at", 0) > now:
                continue
            size += len(message.get("body") or "")
            if count and size > MAX_BODIES:
                return count, True
            count += 1
            if count == limit:
                return count, True
        return count, False

    def _receive_messages_for_esm(queue_url, max_number):
        with queues_lock:
            queue = get_queue(queue_url)
            visibility = int(queue["attributes"].get("VisibilityTimeout", "30"))
            expire(queue)
            sweep(queue)
            if queue["is_fifo"]:
                return collect(queue, min(int(max_number or 1), 10), visibility)
            now = time.time()
            count, full = fitting(queue["messages"], now, int(max_number or 1))
            if count == 0:
                return []
            if not full:
                oldest = min(
                    max(message.get("visible_at", 0), message.get("sent_at", 0))
                    for message in queue["messages"]
                    if message.get("visible_at", 0) <= now
                )
                rest = oldest + window_of(queue["attributes"].get("QueueArn", "")) - now
                if rest > 0:
                    timer = threading.Timer(rest, wake.set)
                    timer.daemon = True
                    timer.start()
                    return []
            return collect(queue, count, visibility)

    sqs._receive_messages_for_esm = _receive_messages_for_esm
