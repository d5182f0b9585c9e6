"""Jobs beside each other: as many as the machine has slots for, the long ones first.

Knows nothing of what a job does. A job says how many slots it fills, whether it must have the machine
for itself, and which other job it needs; it begins when it may, in the order in which they were given.
"""

import collections.abc
import dataclasses
import threading


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    run: collections.abc.Callable[[], bool]  # False: who needs this job must not begin. Never raises
    slots: int = 1  # 0: what it takes is left over by the others
    alone: bool = False
    needs: str = ""  # the name of another job, or nothing


def next_job(waiting, running, slots, succeeded):
    """The first of `waiting` that may begin beside `running`; None if none may. Who wants to be alone begins when
    nobody runs and nobody else waits, so that the machine is emptied once."""
    if any(job.alone for job in running):
        return None
    free = slots - sum(job.slots for job in running)
    ready = [job for job in waiting if not job.needs or job.needs in succeeded]
    for job in ready:
        # A job that fills more than there is begins when it has everything.
        if not job.alone and min(job.slots, slots) <= free:
            return job
    if not running:
        return next((job for job in ready if job.alone), None)
    return None


class Pool:
    def __init__(self, slots):
        self._waiting = []
        self._slots = slots
        self._running = []
        self._succeeded = set()
        self._changed = threading.Condition()

    def add(self, job):
        with self._changed:
            self._waiting.append(job)

    def add_first(self, jobs):
        """Before all that waits. A job that runs may add others."""
        with self._changed:
            self._waiting[:0] = jobs

    def unfinished(self):
        """The names of what runs or waits."""
        with self._changed:
            return [job.name for job in self._running + self._waiting]

    def run(self):
        """Until every job has ended that could begin."""
        with self._changed:
            while True:
                while job := next_job(self._waiting, self._running, self._slots, self._succeeded):
                    self._waiting.remove(job)
                    self._running.append(job)
                    threading.Thread(target=self._work, args=[job], daemon=True).start()
                if not self._running:
                    return
                self._changed.wait()

    def _work(self, job):
        succeeded = job.run()
        with self._changed:
            self._running.remove(job)
            if succeeded:
                self._succeeded.add(job.name)
            self._changed.notify()
