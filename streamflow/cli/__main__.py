"""``python -m streamflow.cli`` is the command `streamflow`."""

from . import main

if __name__ == "__main__":
    main()
