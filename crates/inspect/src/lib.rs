//! Looks at a thread of a job that waits in a system call: its arguments in words, the paths it names, its stack.
