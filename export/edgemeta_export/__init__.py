"""The compiler: trace, lower, assemble, optimize, store, verify.

| module | what it does |
|---|---|
| `checks` | what a model must not do |
| `decompose` | what the tracer writes out in simpler ops |
| `trace` | Python functions to flat ATen graphs, gradients included |
| `program` | a flat graph in the form that PyTorch's exporter reads |
| `layers`, `naming` | which layer an op belongs to, and names that say so |
| `rules/` | translations of ATen ops that PyTorch's exporter lacks |
| `lower` | ATen graphs to ONNX graphs |
| `simplify` | what PyTorch's exporter writes, without what does nothing |
| `loop_functions` | what a device computes, as functions of tensors |
| `lowered_loop` | these functions, traced and lowered |
| `assemble` | the lowered loop as `adapt.onnx` and `predict.onnx` |
| `slices` | a support set taken slice by slice |
| `graph_building` | what building a graph by hand needs |
| `passes/` | clean-ups of a finished graph |
| `opset` | a finished graph in an older or newer opset |
| `ort_format` | the graphs in onnxruntime's own format |
| `operators` | what a reduced build of onnxruntime has to contain |
| `cost` | operations per step, and the peak-memory estimate |
| `storage` | graphs to bytes, the init in one file |
| `recorded_episode` | the episode that `edgemeta verify` replays |
| `recording` | how much of its results a file keeps |
| `staging`, `publish` | writing, checking and renaming the bundle |
| `tune` | variants of an export, measured here |
| `graph_coupling` | whether samples see each other in somebody's ONNX graph |
| `inline` | such graphs in the place of their placeholders |
| `form` | `GraphForm`: how the graphs are written |
| `example` | the samples that are traced, checked against the model |
| `bundle_export` | `export_bundle`: a model |
| `run_export` | `export_run`: a trained run |
| `body_export` | `export_body`: a pre-trained body, without training |
"""

from edgemeta_export.body_export import export_body
from edgemeta_export.bundle_export import export_bundle
from edgemeta_export.form import GraphForm
from edgemeta_export.run_export import export_run
from edgemeta_export.tune import fastest

export = export_run  # as `edgemeta.export`

__all__ = ["GraphForm", "export", "export_body", "export_bundle", "export_run", "fastest"]
