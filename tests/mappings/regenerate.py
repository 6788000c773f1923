"""Write the Xero side of every golden document anew: `python -m tests.mappings.regenerate`, then review the diff."""

from __future__ import annotations

from tests.mappings.goldens import FOLDER, NAMES, document_text, kept_path


def main() -> None:
    """Rewrite what differs, and say so."""
    for path in FOLDER.glob("*.xero.json"):
        if path.name.partition(".")[0] not in NAMES:
            path.unlink()
            print(f"removed {path.name}")
    for name in NAMES:
        text, path = document_text(name), kept_path(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
