"""The backup format: packs, trees, points (``FORMAT.md``). Touches storage only through ``ports.Blobs``.

Callers need: ``repository.Repository`` (create, open, points, begin, forget, recall), ``run`` (BackupRun and its inputs and
results), ``restore`` (read_blocks, restore_disk, restore_disk_to_file, restore_disk_to_device), ``view`` (a disk as a block
device), ``prune.collect`` and ``check.check``.
"""
