#include "json/fields.h"

#include <cmath>

#include "base/testing.h"

namespace evo::json {
namespace {

using testing::expect_error;

struct Settings {
  bool tied = true;
  int32_t layers = 4;
  int64_t tokens = 1000;
  float rate = 0.1f;
  double decay = 0.01;
  std::string name = "small";
  std::vector<int64_t> sizes = {1, 2};
  std::vector<double> weights = {0.5};

  template <class V>
  void visit(V& v) {
    v("tied", tied, "input and output embeddings are one matrix");
    v("layers", layers, "number of layers");
    v("tokens", tokens, "number of tokens");
    v("rate", rate, "learning rate");
    v("decay", decay, "weight decay");
    v("name", name, "name of the preset");
    v("sizes", sizes, "block sizes");
    v("weights", weights, "loss weights");
  }
};

std::string text_of(const Settings& settings) {
  Record record;
  write_fields(settings, record);
  return record.dump();
}

Settings read(std::string_view json, bool allow_unknown = false) {
  Settings settings;
  read_fields(Record::parse(json, "c.json"), settings, "c.json", allow_unknown);
  return settings;
}

Settings assigned(std::string_view assignment) {
  Settings settings;
  assign_field(settings, assignment);
  return settings;
}

constexpr std::string_view kOther =
    R"({"tied":false,"layers":-5,"tokens":5000000000,"rate":0.3,"decay":1e-08,"name":"x=y",)"
    R"("sizes":[],"weights":[1.0,2.5]})";

TEST(Fields, RoundTrip) {
  EXPECT_EQ(text_of(Settings()),
            R"({"tied":true,"layers":4,"tokens":1000,"rate":0.1,"decay":0.01,"name":"small",)"
            R"("sizes":[1,2],"weights":[0.5]})");
  const Settings other = read(kOther);
  EXPECT_EQ(text_of(other), kOther);
  EXPECT_EQ(other.rate, 0.3f);
}

TEST(Fields, MissingKeysKeepWhatWasThere) {
  const Settings settings = read(R"({"layers":9})");
  EXPECT_EQ(settings.layers, 9);
  EXPECT_EQ(settings.tokens, 1000);
}

TEST(Fields, UnknownKeyNamesTheClosest) {
  expect_error([] { read(R"({"layres":9})"); }, {"c.json", "\"layres\"", "'layers'"});
  EXPECT_EQ(read(R"({"layres":9,"layers":3})", true).layers, 3);
}

TEST(Fields, NullIsMissingInForeignFilesOnly) {
  EXPECT_EQ(read(R"({"layers":null})", true).layers, 4);
  expect_error([] { read(R"({"layers":null})"); }, {"layers", "null"});
}

TEST(Fields, WrongTypesAndRangesAreRefused) {
  expect_error([] { read(R"({"layers":"9"})"); }, {"c.json", "layers", "whole number", "\"9\""});
  expect_error([] { read(R"({"layers":1.5})"); }, {"layers", "1.5"});
  expect_error([] { read(R"({"layers":2147483648})"); }, {"layers", "out of range", "2147483647"});
  expect_error([] { read(R"({"tokens":9223372036854775808})"); }, {"tokens"});
  expect_error([] { read(R"({"rate":1e39})"); }, {"rate", "out of range"});
  expect_error([] { read(R"({"tied":1})"); }, {"tied", "true or false", "1"});
  expect_error([] { read(R"({"name":1})"); }, {"name", "a text"});
  expect_error([] { read(R"({"sizes":3})"); }, {"sizes", "array"});
  expect_error([] { read(R"({"sizes":[1,2.5]})"); }, {"\"sizes\"[1]", "2.5"});
  expect_error([] { read(R"({"weights":{"a":1}})"); }, {"weights", "an object"});
}

TEST(Fields, AnErrorLeavesTheSettingsAlone) {
  Settings settings;
  const Record record = Record::parse(R"({"tied":false,"name":7})", "c.json");
  EXPECT_THROW(read_fields(record, settings), Error);
  EXPECT_TRUE(settings.tied);
}

TEST(Fields, NotFiniteIsWrittenAsNull) {
  Settings settings;
  settings.rate = std::nanf("");
  settings.decay = INFINITY;
  EXPECT_NE(text_of(settings).find(R"("rate":null,"decay":null)"), std::string::npos);
}

TEST(Fields, Assignments) {
  EXPECT_FALSE(assigned("tied=false").tied);
  EXPECT_EQ(assigned("layers=-7").layers, -7);
  EXPECT_EQ(assigned("tokens=5000000000").tokens, 5000000000);
  EXPECT_EQ(assigned("rate=3e-4").rate, 3e-4f);
  EXPECT_EQ(assigned("decay=.5").decay, 0.5);
  EXPECT_EQ(assigned("name=a=b").name, "a=b");
  EXPECT_EQ(assigned("name=").name, "");
  EXPECT_EQ(assigned("sizes=1,2,3").sizes, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_TRUE(assigned("sizes=").sizes.empty());
  EXPECT_EQ(assigned("weights=0.5,2").weights, (std::vector<double>{0.5, 2}));
}

TEST(Fields, BadAssignmentsAreUsageErrors) {
  const auto refused = [](std::string_view assignment,
                          std::initializer_list<std::string_view> parts) {
    SCOPED_TRACE(assignment);
    expect_error<UsageError>([&] { assigned(assignment); }, parts);
  };
  refused("layers", {"key=value", "layers"});
  refused("=3", {"key=value"});
  refused("layer=3", {"'layer'", "'layers'", "tied, layers, tokens"});
  refused("layers=1.5", {"layers", "whole number", "1.5"});
  refused("layers=", {"layers", "\"\""});
  refused("layers=3x", {"3x"});
  refused("layers= 3", {"\" 3\""});
  refused("layers=2147483648", {"layers", "2147483648"});
  refused("rate=nan", {"rate", "nan"});
  refused("decay=inf", {"decay", "inf"});
  refused("decay=1e999", {"decay", "1e999"});
  refused("tied=yes", {"tied", "true or false", "yes"});
  refused("sizes=1,,2", {"sizes"});
  refused("sizes=1,2,", {"sizes"});
  refused("weights=1,x", {"weights", "x"});
}

TEST(Fields, HelpHasNamesDefaultsAndTexts) {
  const std::string help = describe_fields(Settings());
  EXPECT_EQ(std::count(help.begin(), help.end(), '\n'), 8);
  EXPECT_NE(help.find("  layers=4 "), std::string::npos) << help;
  EXPECT_NE(help.find("rate=0.1 "), std::string::npos) << help;
  EXPECT_NE(help.find("sizes=1,2 "), std::string::npos) << help;
  EXPECT_NE(help.find("number of layers\n"), std::string::npos) << help;
}

TEST(Fields, DifferencesAreNamed) {
  EXPECT_TRUE(different_fields(Settings(), Settings()).empty());
  const auto differences = different_fields(Settings(), assigned("sizes=1,3"));
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].name, "sizes");
  EXPECT_EQ(differences[0].first, "1,2");
  EXPECT_EQ(differences[0].second, "1,3");
  // The last bit counts: values are printed so that they can be read back.
  Settings other;
  other.decay = std::nextafter(other.decay, 1.0);
  EXPECT_EQ(different_fields(Settings(), other).size(), 1u);
}

}  // namespace
}  // namespace evo::json
