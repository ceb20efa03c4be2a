"""A loaded bundle at work: what a device needs, with numpy and onnxruntime alone.

| module | what it offers |
|---|---|
| `runner` | `Runner`: a bundle that adapts |
| `learner` | `Learner`: one adapted state, which predicts |
| `packaged` | `load`: bundles that come with edgemeta |
| `guard` | what an adaptation must not do, and `AdaptationError` |
| `events` | what a runner reports of its work |
| `familiarity` | how well a sample is known |
| `inputs`, `probabilities`, `sessions` | checks, softmax, onnxruntime's settings |

Nothing is imported here: whoever asks for the names of packaged bundles does not wait for
onnxruntime.
"""
