// Any bytes are a model in GGUF or an Error: every array is read, and every text made.
#include "memory_file.h"
#include "tokenizer/readers/gguf/gguf_tokenizer.h"
#include "weights/gguf/gguf_model.h"

namespace {

template <class Call>
void try_to(const Call& call) {
  try {
    call();
  } catch (const evo::Error&) {
  }
}

void read_arrays(const evo::weights::GgufModel& model) {
  const evo::weights::GgufArrays arrays(model);
  arrays.for_each([&](const evo::weights::TensorInfo& info) {
    int64_t count = 1;
    for (const int64_t extent : info.shape) count *= extent;
    std::vector<float> values(static_cast<size_t>(count));
    arrays.read_f32(info.name, info.shape, values);
    if (info.dtype != "BF16") return;
    std::vector<uint16_t> bits(values.size());
    arrays.read_bf16(info.name, info.shape, bits);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const evo::fuzzing::MemoryFile memory(data, size);
  try_to([&] {
    const evo::weights::GgufFile file(memory.path());
    try_to([&] { (void)evo::tokenizer::spec_of_gguf(file); });
  });
  try_to([&] {
    const evo::weights::GgufModel model(memory.path());
    try_to([&] { read_arrays(model); });
    try_to([&] { (void)evo::weights::gguf_documents(model); });
  });
  return 0;
}
