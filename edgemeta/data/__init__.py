"""Readers of what people have: arrays, folders of files, recordings, pictures, tables, time series.

Numpy only; decoders of pictures and recordings are imported when they are needed.

| module | what it reads |
|---|---|
| `layouts` | whatever it recognises, as a `Dataset` |
| `dataset` | what every layout is read into: samples, their classes, their people |
| `options` | how to read the data: `DataOptions` |
| `array_file`, `csv_file`, `table`, `omniglot_files` | one layout each |
| `file_samples`, `waveform`, `clips` | samples that are one file each, and their lengths |
| `samples` | `read_support`, `read_samples`: samples for a bundle |
| `recorded` | how they are made, as the bundle's training record says |
| `labels` | names of classes, and their numbers |
"""
