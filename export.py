"""Write a trained network as ONNX, as a program of torch.export, or as safetensors: python export.py model=RUN."""

from sr.cli import main

if __name__ == "__main__":
    main("export")
