# The drivers of virtual machines, which the stand-in has no use for.
{ }
