// evo tokenizer shard
#pragma once

#include "cli/program.h"

namespace evo::cli {

void add_tokenizer_shard_command(CLI::App& tokenizer, Action& action);

}  // namespace evo::cli
