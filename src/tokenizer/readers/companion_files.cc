#include "tokenizer/readers/companion_files.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "files/files.h"
#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/readers/model_vocabulary.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace evo::tokenizer {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "tokenizer_config.json";
constexpr std::string_view kEndRole = "eos_token";
constexpr std::string_view kRoles[] = {"bos_token", kEndRole,    "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
constexpr const char* kMoreSpecial = "extra_special_tokens";
constexpr const char* kMoreSpecialOnce = "additional_special_tokens";  // its name before

// An object; empty if the file is not there. Throws Error that names the file.
template <class Fn>
void with_object(const fs::path& path, const Fn& fn) {
  if (!fs::exists(path)) return;
  try {
    const Json value = parse_hostile_json(files::read_file(path, kMaxTokenizerFile));
    if (!value.is_object()) fail("expected an object, found {}", shown_json(value));
    fn(value);
  } catch (const Error& error) {
    fail("{}: {}", path.filename().string(), error.what());
  }
}

struct NamedToken {
  std::string content;
  AddedToken flags;
};

// A role's token is its name, or an object with its name and flags.
std::optional<NamedToken> read_role(const Json& value) {
  if (value.is_string()) return NamedToken{value.get<std::string>(), {}};
  if (!value.is_object()) return std::nullopt;
  NamedToken token{JsonSection(value, "").string("content"), read_added_flags(value)};
  token.flags.special = true;
  return token;
}

// What the files say, before it is applied.
struct Companions {
  std::map<int64_t, NamedToken> listed;  // by the id that the file gives
  std::vector<NamedToken> special;       // in order
  std::string end;                       // name of the token that ends a text; empty: none
  bool has_decoder = false;

  void read_roles(const Json& object) {
    const auto add = [&](const Json& value) {
      if (const auto token = read_role(value)) special.push_back(*token);
    };
    for (const std::string_view role : kRoles) {
      const auto found = object.find(role);
      if (found == object.end()) continue;
      add(*found);
      const auto token = read_role(*found);
      if (role == kEndRole && token) end = token->content;
    }
    // Roles of a family's own: "image_token".
    for (const auto& [key, value] : object.items()) {
      const bool known = std::find(std::begin(kRoles), std::end(kRoles), key) != std::end(kRoles);
      if (!known && key.ends_with("_token") && value.is_string()) add(value);
    }
    const char* more = object.contains(kMoreSpecial) ? kMoreSpecial : kMoreSpecialOnce;
    const auto found = object.find(more);
    if (found != object.end() && found->is_structured()) {
      for (const Json& value : *found) add(value);
    }
  }

  void read_config(const Json& config) {
    const JsonSection section(config, "");
    has_decoder = config.contains("added_tokens_decoder");
    if (has_decoder) {
      for (const auto& [id, flags] : section.object("added_tokens_decoder").items()) {
        listed[read_decimal_id(id)] = {JsonSection(flags, id).string("content"),
                                       read_added_flags(flags)};
      }
    }
    read_roles(config);
  }

  bool is_special(std::string_view content) const {
    return std::any_of(special.begin(), special.end(),
                       [&](const NamedToken& token) { return token.content == content; });
  }

  void read_added(const Json& added) {
    for (const auto& [content, id] : added.items()) {
      if (!id.is_number_unsigned()) fail("the id of {} is {}", shown_json(content), shown_json(id));
      const bool role = is_special(content);
      listed[id.get<int64_t>()] = {content, {.normalized = !role, .special = role}};
    }
  }
};

// Adds tokens to a spec as Hugging Face's library adds them to a tokenizer.
class TokenAdder {
 public:
  explicit TokenAdder(TokenizerSpec& spec)
      : spec_(spec), byte_level_(PreTokenizer(spec.pre_tokenizer).byte_level()) {
    std::vector<bool> hidden(spec.tokens.size());
    for (size_t i = 0; i < spec.added.size(); ++i) {
      const AddedToken& token = spec.added[i];
      hidden[static_cast<size_t>(token.id)] = true;
      if (token.hidden) continue;
      added_.emplace(spec.tokens[static_cast<size_t>(token.id)], i);
      next_ = std::max(next_, token.id + 1);
    }
    int32_t count = 0;
    for (size_t i = 0; i < spec.tokens.size(); ++i) {
      if (spec.tokens[i].empty()) continue;
      if (!hidden[i]) ordinary_.emplace(spec.tokens[i], static_cast<int32_t>(i));
      ++count;
    }
    for (const AddedToken& token : spec.added) count -= !token.in_vocab;
    next_ = std::max(next_, count);
  }

  [[nodiscard]] bool knows(const std::string& content) const { return added_.contains(content); }

  void add(const NamedToken& named) {
    if (named.content.empty()) return;
    AddedToken token = named.flags;
    if (const auto known = added_.find(named.content); known != added_.end()) {
      AddedToken& old = spec_.added[known->second];
      token.id = old.id;
      token.in_vocab = old.in_vocab;
      token.verbatim = old.verbatim;
      old = token;
      return;
    }
    const std::optional<std::string> name =
        byte_level_ ? from_byte_alphabet(named.content) : named.content;
    const auto ordinary = name ? ordinary_.find(*name) : ordinary_.end();
    token.in_vocab = ordinary != ordinary_.end();
    token.id = token.in_vocab ? ordinary->second : next_;
    const auto place = static_cast<size_t>(token.id);
    if (place >= spec_.tokens.size()) spec_.tokens.resize(place + 1);
    if (!token.in_vocab && !spec_.tokens[place].empty()) {
      fail("token {} would get id {}, which another one has", shown_json(named.content), token.id);
    }
    spec_.tokens[place] = named.content;
    if (!spec_.scores.empty()) spec_.scores.resize(spec_.tokens.size());
    next_ = std::max(next_, token.id + 1);
    added_.emplace(named.content, spec_.added.size());
    spec_.added.push_back(token);
  }

 private:
  TokenizerSpec& spec_;
  bool byte_level_;
  std::unordered_map<std::string, size_t> added_;      // places in spec_.added
  std::unordered_map<std::string, int32_t> ordinary_;  // text -> id of the other tokens
  int32_t next_ = 0;                                   // id of the next new token
};

}  // namespace

void apply_companion_files(const fs::path& folder, TokenizerSpec& spec) {
  Companions companions;
  with_object(folder / kConfig, [&](const Json& config) { companions.read_config(config); });
  if (!companions.has_decoder) {
    with_object(folder / "special_tokens_map.json",
                [&](const Json& map) { companions.read_roles(map); });
    with_object(folder / "added_tokens.json",
                [&](const Json& added) { companions.read_added(added); });
  }
  if (companions.listed.empty() && companions.special.empty()) return;
  TokenAdder adder(spec);
  for (auto& [id, token] : companions.listed) {
    token.flags.special |= companions.is_special(token.content);
    adder.add(token);
  }
  for (const NamedToken& token : companions.special) {
    if (!adder.knows(token.content)) adder.add(token);
  }
  spec.end_of_text = companions.end;
}

}  // namespace evo::tokenizer
