"""The built-in tasks: a model and its data each; see `trainers.task.Task`."""
