"""`python -m sidecar` is `mih`."""

from sidecar.cli.main import main

if __name__ == "__main__":
    main()
