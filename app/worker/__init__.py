"""A worker: takes jobs from the queue, runs each in a process of its own, settles it."""
