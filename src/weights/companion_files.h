// The files of a model folder beside its weights: tokenizer, templates, settings, licence, card.
#pragma once

#include <filesystem>
#include <span>

namespace evo::weights {

/// Copies the files of the folder `from` but for weights and their indices of any program,
/// config.json, what a training run of ours leaves, hidden ones and folders, and the names
/// `except`; of a GGUF file what it says instead of such files. What `to` has under the name of one
/// of them is replaced.
void copy_companion_files(const std::filesystem::path& from, const std::filesystem::path& to,
                          std::span<const char* const> except = {});

}  // namespace evo::weights
