#include "ops.hpp"

#include <optional>
#include <string>

#include "edgemeta/spectrum.hpp"
#include "episode.hpp"

using edgemeta::Error;
using edgemeta::Learner;
using edgemeta::Runner;
using edgemeta::Tensor;
using edgemeta::Tensors;

namespace {

using Json = nlohmann::json;

Json field(const Json& request, const char* name) {
  return request.contains(name) ? request[name] : Json();
}

}  // namespace

Json freeze(const Json& request, const Runner& runner) {
  const Episode episode = read_episode(runner, request.at("episode").get<std::string>());
  edgemeta::AdaptOptions options;
  options.steps = episode.steps;
  options.lr_scale = episode.lr_scale;
  options.guard = false;
  if (const Json ways = field(request, "ways"); !ways.is_null()) options.ways = ways;
  Tensors out;
  const auto add = [&](const std::string& name, const Learner& learner) {
    out.emplace(name, learner.predict_logits(episode.query_x));
  };
  const auto further = [&](const Learner& start) {
    options.state = &start;
    return runner.adapt(episode.support_x, episode.support_y, options);
  };
  const Learner plain = runner.adapt(episode.support_x, episode.support_y, options);
  const Learner frozen = plain.freeze();
  add("plain", plain);
  add("frozen", frozen);
  add("init.plain", runner.init());
  add("init.frozen", runner.init().freeze());
  add("further.plain", further(plain));
  add("further.frozen", further(frozen));
  if (const Json state = field(request, "state"); !state.is_null()) {
    frozen.save(state.get<std::string>());
    add("again.frozen", runner.load(state.get<std::string>()).freeze());
  }
  edgemeta::write_tensors(request.at("out").get<std::string>(), {{}, std::move(out)});
  return {{"frozen", frozen.frozen() && !plain.frozen()}};
}

Json features(const Json& request, const Runner& runner) {
  const auto spectrum = edgemeta::Spectrum::of(runner);
  if (!spectrum) throw Error(Error::Kind::input, "the bundle has no features of sound");
  const Tensors given = edgemeta::read_tensors(request.at("clip").get<std::string>()).tensors;
  const Tensor found = spectrum->compute(given.at("clip"));
  edgemeta::write_tensors(request.at("out").get<std::string>(), {{}, {{"features", found}}});
  return {{"shape", found.shape()}, {"length", spectrum->length()}};
}
