#include "learned.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "contract.hpp"
#include "distinct.hpp"
#include "inputs.hpp"
#include "invalid.hpp"
#include "json.hpp"
#include "labels.hpp"
#include "model.hpp"
#include "rows.hpp"

// A state file, which `Runner::load` reads as a plain learner. Beside the state are: notes, as JSON
// in the metadata; how clearly each class was told apart; the spare row of each tensor of a shared
// head; and the support set, if it is kept. Python's edgemeta/estimators/_saved.py is the same.

namespace edgemeta {
namespace {

const std::string kLead = std::string(kExtraPrefix) + "lead";
const std::string kKeptX = std::string(kExtraPrefix) + kSupportX;
const std::string kKeptY = std::string(kExtraPrefix) + kSupportY;
constexpr std::int64_t kMostSamples = (std::int64_t{1} << 32) - 1;  // that a class was learned from

std::string notes_of(const LearnedClasses& learned) {
  return Json{{"labels", json_of(learned.labels)},
              {"temperature", learned.temperature ? Json(*learned.temperature) : Json()},
              {"samples", learned.samples},
              {"flat", true}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);  // what is no UTF-8 is refused later
}

/// Calls a function with what a file has in it.
template <class Write>
auto written(const Runner& runner, const LearnedClasses& learned, Write write) {
  const Manifest& manifest = runner.manifest();
  const Access::Held held = Access::state_of(learned.learner);
  StateViews views = held.views;
  for (const StateTensor& spec : manifest.state) {
    if (!spec.per_class) continue;
    View& rows = views.tensors.at(spec.name);
    const View all = rows;
    const std::int64_t last = all.shape()[0] - 1;
    rows = rows_of(all, 0, last);
    views.extra.emplace(kExtraPrefix + spec.name, rows_of(all, last, last + 1));
  }
  views.ways = *learned.learner.ways() - (manifest.any_ways() ? 1 : 0);
  views.labels = learned.labels;
  views.notes = notes_of(learned);
  const auto classes = static_cast<std::int64_t>(learned.labels.size());
  views.extra.emplace(kLead, View(learned.lead, {classes}));
  if (learned.support) {
    const auto samples = static_cast<std::int64_t>(learned.support->y.size());
    views.extra.emplace(kKeptX, learned.support->x);
    views.extra.emplace(kKeptY, View(learned.support->y, {samples}));
  }
  return write(views);
}

std::vector<Label> labels_at(const Json& notes) {
  const Json& list = at(notes, "labels");
  if (list.is_null()) throw Invalid("the file of a regressor");
  if (!list.is_array()) throw Invalid("labels " + list.dump());
  std::vector<Label> labels;
  for (const Json& value : list) {
    if (!value.is_string() && !value.is_number()) {
      throw Invalid("a label that C++ has no type for, " + value.dump() +
                    ": only Python reads others than texts and numbers");
    }
    labels.push_back(label_of(value));
  }
  if (distinct(labels).size() != labels.size()) throw Invalid("a label that is there twice");
  return labels;
}

std::optional<double> temperature_at(const Json& notes) {
  const Json& value = at(notes, "temperature");
  if (value.is_null()) return std::nullopt;
  const double temperature = value.is_number_float() ? value.get<double>() : 0;
  if (!(temperature > 0 && std::isfinite(temperature))) {
    throw Invalid("temperature " + value.dump());
  }
  return temperature;
}

std::vector<std::int64_t> samples_at(const Json& notes, std::size_t classes) {
  const Json& list = at(notes, "samples");
  if (!list.is_array() || list.size() != classes) throw Invalid("samples " + list.dump());
  std::vector<std::int64_t> samples;
  for (const Json& value : list) samples.push_back(integer_in(value, "samples", 0, kMostSamples));
  if (*std::max_element(samples.begin(), samples.end()) == 0) throw Invalid("no samples");
  return samples;
}

/// Moves a tensor out of those beside a state. Throws Invalid: it is not as it should be.
Tensor taken(Tensors& extra, const std::string& name, const Shape& shape, DType dtype) {
  const auto node = extra.extract(name);
  if (node.empty()) throw Invalid("no " + name);
  const Tensor& tensor = node.mapped();
  if (tensor.shape() != shape || tensor.dtype() != dtype) {
    throw Invalid(name + " " + std::string(name_of(tensor.dtype())) + " " +
                  text_of(tensor.shape()) + ", expected " + std::string(name_of(dtype)) + " " +
                  text_of(shape));
  }
  if (!is_finite(tensor)) throw Invalid(name + " that is not finite");
  return tensor;
}

/// The support set, if it was kept.
std::optional<Support> support_of(Tensors& extra, const TensorSpec& input, std::size_t classes) {
  const auto x = extra.find(kKeptX);
  if (x == extra.end() && extra.count(kKeptY) == 0) return std::nullopt;
  const std::int64_t samples =
      x == extra.end() || x->second.shape().empty() ? 0 : x->second.shape()[0];
  if (samples < 1 || samples > contract::kMostKept) throw Invalid(kKeptX + " without samples");
  Shape shape = {samples};
  shape.insert(shape.end(), input.shape.begin(), input.shape.end());
  Tensor kept = taken(extra, kKeptX, shape, input.dtype);
  const Tensor labels = taken(extra, kKeptY, {samples}, DType::int64);
  const std::int64_t* const first = labels.data<std::int64_t>();
  std::vector<std::int64_t> y(first, first + samples);
  const auto [least, most] = std::minmax_element(y.begin(), y.end());
  if (*least < 0 || *most >= static_cast<std::int64_t>(classes)) {
    throw Invalid("classes " + std::to_string(*least) + ".." + std::to_string(*most) + " of " +
                  std::to_string(classes));
  }
  return Support{std::move(kept), std::move(y)};
}

/// What a classifier learned, of what is in a state file. Throws Invalid.
LearnedClasses learned_of(StateFile file, const Runner& runner) {
  const Manifest& manifest = runner.manifest();
  if (!file.notes) throw Invalid("the state of a plain learner, without labels");
  const Json notes = parse_object(*file.notes);
  check_fields(notes, "notes", {"labels", "temperature", "samples", "flat"});
  std::vector<Label> labels = labels_at(notes);
  if (labels.empty() || static_cast<std::int64_t>(labels.size()) > *file.ways) {
    throw Invalid(std::to_string(labels.size()) + " labels for " + std::to_string(*file.ways) +
                  " classes");
  }
  if (!manifest.labels.empty() && labels != manifest.labels) {
    throw Invalid("other classes than the bundle's");
  }
  if (!at(notes, "flat").is_boolean()) throw Invalid("flat " + at(notes, "flat").dump());
  const auto temperature = temperature_at(notes);
  auto samples = samples_at(notes, labels.size());
  for (const StateTensor& spec : manifest.state) {
    if (!spec.per_class) continue;
    const Tensor spare = taken(file.extra, kExtraPrefix + spec.name, spec.shape, spec.dtype);
    Tensor& rows = file.tensors.at(spec.name);
    rows = joined(rows, spare);
  }
  const auto classes = static_cast<std::int64_t>(labels.size());
  const Tensor lead = taken(file.extra, kLead, {classes}, DType::float32);
  auto support = support_of(file.extra, manifest.input, labels.size());
  if (manifest.any_ways()) ++*file.ways;
  file.labels.reset();  // those are the classifier's
  return {Access::learner_of(runner, file),
          std::move(labels),
          {lead.data<float>(), lead.data<float>() + classes},
          std::move(samples),
          temperature,
          std::move(support)};
}

LearnedClasses checked(const std::string& where, StateFile file, const Runner& runner) {
  try {
    return learned_of(std::move(file), runner);
  } catch (const Invalid& error) {
    throw Error(Error::Kind::bundle, where + " is no file of a classifier", error.what(), "",
                "write it with the classifier's save");
  }
}

}  // namespace

void write_classes(const std::filesystem::path& path, const Runner& runner,
                   const LearnedClasses& learned) {
  written(runner, learned,
          [&](const StateViews& views) { write_state(path, views, runner.fingerprint()); });
}

std::vector<std::byte> format_classes(const Runner& runner, const LearnedClasses& learned) {
  return written(runner, learned, [&](const StateViews& views) {
    return format_state(views, runner.fingerprint());
  });
}

LearnedClasses read_classes(const std::filesystem::path& path, const Runner& runner) {
  return checked(path.string(), read_state(path, runner.manifest(), runner.fingerprint()), runner);
}

LearnedClasses parse_classes(const std::string& where, std::string_view content,
                             const Runner& runner) {
  return checked(where, parse_state(content, where, runner.manifest(), runner.fingerprint()),
                 runner);
}

}  // namespace edgemeta
