"""Files of weights, their tensors rearranged by rules: safetensors, also in shards, and .npz.

| file | holds |
|---|---|
| rearranging.py | what users call |
| rules.py, names.py | which tensors, and how they are rearranged |
| planning.py | what that means for the tensors of a checkpoint |
| stored.py | a tensor as a file holds it |
| headers.py | the header of a safetensors file, read, and with other shapes |
| moving.py | a tensor's elements, block by block |
| transfer.py | bytes from file to file, by several threads |
| safetensors_files.py, sharded.py, npz_files.py | the formats |
"""
