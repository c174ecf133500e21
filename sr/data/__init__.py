"""Images: pairs on disk, the decoded cache, sampling, augmentation and the LightningDataModules."""

import os

# albumentations asks a server for updates when it is imported unless this is set; user-given transforms are
# imported by Hydra right after this package, so here is the last place that is early enough.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
