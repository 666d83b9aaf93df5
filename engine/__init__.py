"""The engine: opens checkpoints, keeps their deltas, and writes any candidate into the live model in one pass.

Needs torch, numpy, psutil and safetensors only; transformers and peft where models are loaded by their configuration.
"""
