"""``python -m streamflow`` is the command `streamflow`."""

from .cli import main

if __name__ == "__main__":
    main()
