"""Bytes that were made to harm: manifests, state files, selftests, graphs.

| file | content |
|---|---|
| `mutations` | how a good file becomes a bad one that looks good: by bytes, and by structure |
| `targets` | what is fed, from which seeds, and what must hold of whatever is accepted |
| `test_fuzz` | a few hundred inputs of each, in the suite |
| `campaign` | hundreds of thousands, guided by coverage: `python -m tests.fuzz.campaign` |
| `sessions` | what onnxruntime makes of the graphs that were accepted, in a process that may die |

The seeds are files of the packaged bundle, and states that are made from it.
"""
