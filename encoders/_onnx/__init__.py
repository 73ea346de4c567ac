"""Reading ONNX: skim the file, run its shapes, trace its operators."""
