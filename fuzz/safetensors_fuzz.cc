// Any bytes are a list of arrays within the file or an Error: every byte of every array is read.
#include <cstring>

#include "memory_file.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Mostly a header whose length is right, since few others get past the first check.
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0 && data[0] % 4 != 0) {
    const size_t split = bytes.find('\0', 1);
    const uint64_t length = (split == std::string::npos ? size : split) - 1;
    bytes = std::string(reinterpret_cast<const char*>(&length), sizeof length) + bytes.substr(1);
  }
  const evo::fuzzing::MemoryFile memory(reinterpret_cast<const uint8_t*>(bytes.data()),
                                        bytes.size());
  try {
    const evo::weights::SafetensorsFile file(memory.path());
    for (const evo::weights::TensorInfo& tensor : file.tensors()) {
      int64_t count = 1;
      for (const int64_t extent : tensor.shape) count *= extent;
      std::vector<float> values(static_cast<size_t>(count));
      try {
        file.read_f32(tensor.name, tensor.shape, values);
      } catch (const evo::Error&) {  // whole numbers, for instance
      }
    }
  } catch (const evo::Error&) {
  }
  return 0;
}
