"""The dashboard: its pages, who may see them, and their languages. README.md says how a page is made."""
