#include "base/closest.h"

#include <gtest/gtest.h>

namespace evo {
namespace {

TEST(Closest, Distances) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("same", "same"), 0);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("exatc", "exact"), 1) << "neighbours exchanged: one slip";
  EXPECT_EQ(edit_distance("ab", "ba"), 1);
  EXPECT_EQ(edit_distance("ca", "abc"), 3) << "no character is changed twice";
  EXPECT_EQ(edit_distance("abcd", "badc"), 2);
}

TEST(Closest, FindsWhatWasMeant) {
  const std::vector<std::string> options = {"--temperature", "--top-k", "--top-p", "--threads"};
  EXPECT_EQ(closest_name("--tempature", options), "--temperature");
  EXPECT_EQ(closest_name("--tmeperature", options), "--temperature");
  EXPECT_EQ(closest_name("--Threads", options), "--threads");
  EXPECT_EQ(closest_name("--top_k", options), "--top-k");
  EXPECT_EQ(closest_name("-threads", options), "--threads");
  EXPECT_EQ(closest_name("--temp", {"--help", "--temperature"}), "--temperature");
  EXPECT_EQ(closest_name("--temp", options), "--temperature") << "the only one that goes on so";
  EXPECT_EQ(closest_name("--t", options), "") << "many go on so";
  EXPECT_EQ(closest_name("--frobnicate", options), "");
  EXPECT_EQ(closest_name("anything", {}), "");
  EXPECT_EQ(closest_name("", options), "");
}

TEST(Closest, ShortNames) {
  const std::vector<std::string> modes = {"ar", "exact", "evo", "diffusion"};
  EXPECT_EQ(closest_name("ra", modes), "ar");
  EXPECT_EQ(closest_name("AR", modes), "ar");
  EXPECT_EQ(closest_name("eov", modes), "evo");
  EXPECT_EQ(closest_name("x", modes), "");
  EXPECT_EQ(closest_name("fast", modes), "");
  EXPECT_EQ(closest_name("dif", modes), "diffusion");
}

TEST(Closest, TheFirstOfEquallyNearOnes) {
  EXPECT_EQ(closest_name("7n", {"7m", "1b"}), "7m");
  EXPECT_EQ(closest_name("aax", {"aay", "aaz"}), "aay");
}

TEST(Closest, Words) {
  EXPECT_EQ(did_you_mean("trian", {"train", "chat"}), "; did you mean 'train'?");
  EXPECT_EQ(did_you_mean("frobnicate", {"train", "chat"}), "");
}

}  // namespace
}  // namespace evo
