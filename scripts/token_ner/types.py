"""Types that several modules use."""

from typing import Any

import numpy

Array = numpy.ndarray
ModelArray = Any  # numpy or CuPy, depending on the device
