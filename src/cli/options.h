// Option values that several commands share.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "json/record.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace evo {

inline constexpr const char* kThreadsHelp =
    "threads; default: as many as the process may run at once (affinity, CPU quota)";
/// --threads: 0 means default_threads() (base/threads/cpu_limit.h). What it may be is checked where
/// the command line is read (cli/program.cc).
void use_threads(int threads);

/// "80G", "2.5T", "80Gi": a number above 0 with a unit of powers of 1000, or of 1024. Throws
/// UsageError, which names `option`.
double parse_amount(const char* option, std::string_view text);

/// --precision auto|f32|bf16|int8; auto is bf16 where the CPU has it. Throws UsageError.
Precision parse_precision(const std::string& name);
/// The same without int8, which gradients cannot pass.
Precision parse_training_precision(const std::string& name);
const char* precision_name(Precision precision);

/// generation_config.json of a model folder that is used with `tokenizer`: its special tokens, and
/// its fingerprint, by which load_model() notices another tokenizer.
Record generation_config(const Tokenizer& tokenizer);

/// Copies those of the files `names` that the folder `from` has.
void copy_files(const std::filesystem::path& from, const std::filesystem::path& to,
                std::span<const char* const> names);

/// A model folder's network, packed for decoding, and its tokenizer; checks that they fit.
struct LoadedModel {
  Model model;
  Tokenizer tokenizer;
};
LoadedModel load_model(const std::string& folder, Precision precision);

}  // namespace evo
