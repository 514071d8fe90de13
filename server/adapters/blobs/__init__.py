"""Object storage behind ``ports.Blobs``: S3, a local folder, memory; and a wrapper that injects faults into any of them."""
