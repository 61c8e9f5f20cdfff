// A model in memory: its tokens, what it writes, and how likely it finds a text.
#pragma once

#include <cstdint>
#include <evo/error.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace evo::api {

/// kAuto: what a file has in 8 bits or fewer as it is there, which is kStored; the rest in bf16
/// where the CPU has it, else in f32. For decoding only: kInt8, 8 bits with a scale for each row;
/// kQ8 and kQ4, 8 and 4 bits with a scale for each 32 of a row.
enum class Precision { kAuto, kF32, kBf16, kInt8, kQ8, kQ4, kStored };

/// How keys and values of the tokens before are kept: kBf16 takes half of the memory of kF32, kQ8,
/// values in 8 bits and keys in bf16, about 38% of it.
enum class KvCache { kF32, kBf16, kQ8 };

struct OpenOptions {
  Precision precision = Precision::kAuto;
  KvCache kv_cache = KvCache::kF32;
  int threads = 0;  ///< of the whole process from now on; 0: as many as there were
  /// Where mode exact keeps what it learns of this machine's speed; empty: nowhere.
  std::filesystem::path cache_folder = {};
};

struct ModelInfo {
  int64_t parameters = 0;
  int64_t vocabulary = 0;  ///< tokens
  int64_t context = 0;     ///< tokens at most, those of the prompt included
  std::string family;      ///< of the backbone: llama, mistral, qwen2 or qwen3
  bool evolves = false;    ///< false: it knows mode ar only
  Precision precision = Precision::kF32;
};

struct Message {
  std::string role;  ///< "system", "user" or "assistant", as the model's chat template knows them
  std::string content;
};

/// What is generated lies between two texts.
struct Gap {
  Gap(std::string text_before, std::string text_after)
      : before(std::move(text_before)), after(std::move(text_after)) {}
  std::string before, after;
};

/// A text to be continued, a conversation to be answered, token ids, or a gap to be filled.
using Prompt = std::variant<std::string, std::vector<Message>, std::vector<int32_t>, Gap>;

enum class Mode { kAr, kExact, kEvo, kDiffusion };

struct GenerateOptions {
  std::optional<Mode> mode = {};  ///< without: as `balance` says, else exact, or ar if it must be
  std::optional<double> balance = {};  ///< 0 exact .. 1 diffusion, between them evo
  int64_t max_tokens = 256;
  double temperature = 0;  ///< 0: greedy
  int64_t top_k = 0;       ///< keep the k likeliest tokens; 0: all
  double top_p = 1;        ///< keep the likeliest tokens of this mass
  /// Above 1: tokens of the text so far, prompt included, become less likely.
  double repetition_penalty = 1;
  uint64_t seed = 1;
  std::vector<std::string> stop = {};  ///< the text ends before the first of these
  std::string json_schema = {};        ///< the text is JSON that this describes; empty: any text
};

enum class Finish {
  kEnd,         ///< the model ended its text
  kStop,        ///< at a stop text, or at the end of the assistant's turn
  kLength,      ///< max_tokens, or the end of the context
  kInterrupted  ///< by the callback or the stop token
};
[[nodiscard]] EVO_API std::string_view name(Finish finish);  ///< "end", "stop", ...

struct Generation {
  std::string text;  ///< whole characters, without the prompt
  std::vector<int32_t> tokens;
  Finish finish = Finish::kEnd;
  int64_t passes = 0, drafted = 0, accepted = 0;
  double seconds = 0, tokens_per_forward = 0;
  /// With a schema: the text is complete JSON that it describes. A text that was cut is not.
  bool json_complete = false;
};

/// Takes the next piece of a text, whole characters; false ends it. What it throws comes out of
/// generate().
using OnText = std::function<bool(std::string_view text)>;

struct Score {
  std::vector<int32_t> tokens;
  std::vector<double> logprobs;  ///< natural, of each token after all those before it
  [[nodiscard]] EVO_API double total() const;
  [[nodiscard]] EVO_API double nats_per_token() const;  ///< NaN for no token
};

/// May be used by any number of threads; texts are generated and scored one after the other. A
/// model that was moved from can be assigned to or destroyed: all else throws UsageError.
class EVO_API Model {
 public:
  /// A model folder: evo's own, or Hugging Face's of one of the families of ModelInfo.
  /// Throws Interrupted if `stop` came first.
  explicit Model(const std::filesystem::path& folder, const OpenOptions& options = {},
                 const std::stop_token& stop = {});
  Model(Model&& other) noexcept;
  Model& operator=(Model&& other) noexcept;
  ~Model();

  [[nodiscard]] const ModelInfo& info() const;
  /// Sampled as the model's files ask for it (generation_config.json); what they say nothing of is
  /// as ever.
  [[nodiscard]] GenerateOptions own_options() const;

  /// Tokens of a text; names of special tokens in it are ordinary text.
  [[nodiscard]] std::vector<int32_t> encode(std::string_view text) const;
  [[nodiscard]] std::string decode(std::span<const int32_t> tokens) const;
  [[nodiscard]] int64_t count(std::string_view text) const;
  /// The conversation as the chat template writes it, up to where the assistant begins to speak.
  [[nodiscard]] std::string apply_template(std::span<const Message> messages) const;

  /// `stop` is looked at between passes, once the prompt is read.
  Generation generate(const Prompt& prompt, const GenerateOptions& options = {},
                      const OnText& on_text = {}, const std::stop_token& stop = {}) const;

  /// Of `text` after `context`, by the autoregressive model. Both must fit into its context.
  [[nodiscard]] Score score(std::string_view text, const Prompt& context = {}) const;

 private:
  struct Impl;
  [[nodiscard]] const Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace evo::api
