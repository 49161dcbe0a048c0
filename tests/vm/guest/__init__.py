"""The checks that run inside the virtual machine of tests/vm, as python3 -m guest."""
