"""The commands of ``fornix``, one file each; each is imported only when it is called."""
