#include "weights/array_source.h"

#include "weights/gguf/gguf_model.h"
#include "weights/model_documents.h"
#include "weights/quantized/quantized_folder.h"
#include "weights/weight_folder.h"

namespace evo::weights {

const TensorInfo& ArraySource::checked(std::string_view name,
                                       const std::vector<int64_t>& expected_shape) const {
  return checked_tensor(find(name), path(), name, expected_shape);
}

const TensorInfo& ArraySource::checked_bf16(std::string_view name,
                                            const std::vector<int64_t>& expected_shape) const {
  const TensorInfo& info = checked(name, expected_shape);
  if (info.dtype != "BF16") fail("{}: {} is {}, expected BF16", path().string(), name, info.dtype);
  return info;
}

std::unique_ptr<const ArraySource> open_arrays(const std::filesystem::path& model) {
  if (is_gguf(model)) return std::make_unique<GgufArrays>(GgufModel(model));
  constexpr const char* kQuantization = "quantization_config";
  const std::optional<json::Record> config = ModelDocuments(model).record("config.json");
  if (config && config->has(kQuantization) && !config->is_null(kQuantization)) {
    return std::make_unique<QuantizedFolder>(model,
                                             read_quantization(config->get_record(kQuantization)));
  }
  return std::make_unique<WeightFolder>(model);
}

}  // namespace evo::weights
