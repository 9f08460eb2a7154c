#pragma once

// What nearly every file that touches tensors needs. Nothing else belongs here.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>
