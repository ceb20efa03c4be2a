"""Models: networks of ours, pre-trained bodies, somebody's ONNX file; necks and heads for them."""
