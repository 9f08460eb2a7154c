# Finds LibTorch and declares finer::torch (host code only).
#
# Looks in CMAKE_PREFIX_PATH (a LibTorch folder, or the torch folder of a Python wheel) and then in
# .deps/libtorch, where tools/setup puts the pinned wheel. Only libtorch_cpu and libc10 are linked:
# the CUDA half is opened at run time when a CUDA device is asked for (finer/nn/device.h), so a
# run on the CPU neither loads nor pays for it.
file(GLOB FINER_TORCH_WHEELS "${PROJECT_SOURCE_DIR}/.deps/libtorch/lib/python3*/site-packages/torch")
find_path(FINER_TORCH_INCLUDE ATen/ATen.h
  HINTS ${CMAKE_PREFIX_PATH} ${FINER_TORCH_WHEELS} PATH_SUFFIXES include NO_CACHE)
if(NOT FINER_TORCH_INCLUDE)
  message(FATAL_ERROR "LibTorch was not found in CMAKE_PREFIX_PATH or .deps/libtorch: run tools/setup")
endif()
get_filename_component(FINER_TORCH_ROOT "${FINER_TORCH_INCLUDE}" DIRECTORY)
find_library(FINER_TORCH_CPU torch_cpu HINTS "${FINER_TORCH_ROOT}/lib" NO_DEFAULT_PATH NO_CACHE REQUIRED)
find_library(FINER_TORCH_C10 c10 HINTS "${FINER_TORCH_ROOT}/lib" NO_DEFAULT_PATH NO_CACHE REQUIRED)

set(FINER_TORCH_VERSION "")
foreach(PART MAJOR MINOR PATCH)
  file(STRINGS "${FINER_TORCH_INCLUDE}/torch/headeronly/version.h" LINE REGEX "define TORCH_VERSION_${PART} " LIMIT_COUNT 1)
  string(REGEX MATCH "[0-9]+$" NUMBER "${LINE}")
  list(APPEND FINER_TORCH_VERSION "${NUMBER}")
endforeach()
list(JOIN FINER_TORCH_VERSION "." FINER_TORCH_VERSION)
if(FINER_TORCH_VERSION VERSION_LESS 2.9)
  message(FATAL_ERROR "LibTorch ${FINER_TORCH_VERSION} in ${FINER_TORCH_ROOT} is too old: 2.9 or newer is needed")
endif()
message(STATUS "LibTorch ${FINER_TORCH_VERSION}: ${FINER_TORCH_ROOT}")

add_library(finer_torch INTERFACE)
add_library(finer::torch ALIAS finer_torch)
target_include_directories(finer_torch SYSTEM INTERFACE
  "${FINER_TORCH_INCLUDE}" "${FINER_TORCH_INCLUDE}/torch/csrc/api/include")
target_link_libraries(finer_torch INTERFACE "${FINER_TORCH_CPU}" "${FINER_TORCH_C10}")
