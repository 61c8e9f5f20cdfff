#include "serve/api/unsupported_fields.h"

#include <array>
#include <string>

namespace evo::serve {
namespace {

struct Unsupported {
  const char* name;
  const char* neutral = "null";  ///< JSON of the value that changes nothing, besides what is empty
  const char* advice = "leave it out";
};

constexpr const char* kAskForJson = "describe JSON by \"response_format\"";

constexpr std::array kUnsupported = {
    // What a text may be.
    Unsupported{"grammar", "null", kAskForJson},
    Unsupported{"json_schema", "null", kAskForJson},
    Unsupported{"guided_json", "null", kAskForJson},
    Unsupported{"guided_regex", "null", kAskForJson},
    Unsupported{"guided_choice", "null", kAskForJson},
    Unsupported{"guided_grammar", "null", kAskForJson},
    Unsupported{"guided_json_object", "false", kAskForJson},
    Unsupported{"guided_whitespace_pattern", "null", kAskForJson},
    Unsupported{"structured_outputs", "null", kAskForJson},
    Unsupported{"structural_tag", "null", kAskForJson},
    Unsupported{"format", "null", kAskForJson},
    Unsupported{"allowed_token_ids"},
    Unsupported{"bad_words"},
    // Tools and other media.
    Unsupported{"tools"},
    Unsupported{"tool_choice", R"("none")"},
    Unsupported{"functions"},
    Unsupported{"function_call", R"("none")"},
    Unsupported{"modalities", R"(["text"])"},
    Unsupported{"audio"},
    Unsupported{"image_data"},
    Unsupported{"images"},
    Unsupported{"documents"},
    Unsupported{"web_search_options"},
    // How a token is drawn.
    Unsupported{"min_p", "0"},
    Unsupported{"top_a", "0"},
    Unsupported{"typical_p", "1"},
    Unsupported{"tfs_z", "1"},
    Unsupported{"top_n_sigma", "-1"},
    Unsupported{"epsilon_cutoff", "0"},
    Unsupported{"eta_cutoff", "0"},
    Unsupported{"repeat_penalty", "1", "\"repetition_penalty\" is, over the whole text"},
    Unsupported{"no_repeat_ngram_size", "0"},
    Unsupported{"dry_multiplier", "0"},
    Unsupported{"xtc_probability", "0"},
    Unsupported{"mirostat", "0"},
    Unsupported{"mirostat_mode", "0"},
    Unsupported{"dynatemp_range", "0"},
    Unsupported{"smoothing_factor", "0"},
    Unsupported{"samplers"},
    Unsupported{"logits_processors"},
    Unsupported{"use_beam_search", "false"},
    Unsupported{"num_beams", "1"},
    Unsupported{"length_penalty", "1"},
    Unsupported{"best_of", "1", "ask for n texts and choose"},
    // Where a text ends, and what of it is shown.
    Unsupported{"stop_token_ids", "null", "name texts by \"stop\""},
    Unsupported{"stop_sequences", "null", "its name here is \"stop\""},
    Unsupported{"ignore_eos", "false"},
    Unsupported{"min_tokens", "0"},
    Unsupported{"max_new_tokens", "null", "its name here is \"max_tokens\""},
    Unsupported{"num_predict", "null", "its name here is \"max_tokens\""},
    Unsupported{"n_indent", "0"},
    Unsupported{"t_max_predict_ms", "0"},
    Unsupported{"include_stop_str_in_output", "false"},
    Unsupported{"skip_special_tokens", "true"},
    Unsupported{"echo", "false", "put the prompt before the text yourself"},
    Unsupported{"n_probs", "0", "ask for \"logprobs\""},
    Unsupported{"prompt_logprobs"},
    // What stands before it.
    Unsupported{"chat_template"},
    Unsupported{"add_generation_prompt", "true"},
    Unsupported{"continue_final_message", "false"},
    Unsupported{"reasoning"},
    Unsupported{"reasoning_effort", R"("none")"},
    Unsupported{"thinking"},
    Unsupported{"enable_thinking"},
    Unsupported{"verbosity", R"("medium")"},
    Unsupported{"truncate_prompt_tokens"},
    Unsupported{"prompt_embeds"},
    Unsupported{"input_extra"},
    Unsupported{"lora"},
    Unsupported{"system"},
    Unsupported{"template"},
    Unsupported{"options"},
};

/// null, which find() takes for none, is one too.
bool is_empty(const Json& value) {
  return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
}

void refuse(Fields& fields, const Unsupported& one) {
  const Json* value = fields.find(one.name);
  if (value == nullptr || is_empty(*value) || *value == Json::parse(one.neutral)) return;
  fields.refuse_as_unsupported(one.name, one.advice);
}

}  // namespace

void refuse_unsupported(Fields& fields, Endpoint endpoint) {
  for (const Unsupported& one : kUnsupported) refuse(fields, one);
  if (endpoint != Endpoint::kChat) refuse(fields, {"chat_template_kwargs"});
  if (endpoint == Endpoint::kCompletion) refuse(fields, {"suffix", "null", "ask /v1/infill"});
  if (endpoint == Endpoint::kInfill) refuse(fields, {"prompt", "null", "end the prefix with it"});
}

}  // namespace evo::serve
