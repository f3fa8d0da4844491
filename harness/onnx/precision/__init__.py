"""The same network with fewer bits: float16 and int8 files made from a float32 one."""
