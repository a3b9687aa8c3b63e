"""What the operating system gives: signals, child processes, addresses of this machine."""
