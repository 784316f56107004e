"""Laws of loss by scale alone: what more parameters, more tokens and more compute buy.

Where `scaling.law` also places the hyperparameters, these laws take each scale's best loss:

- `fitting`: fit a `law` to a runs table (`fit_loss_law`), in the form of Chinchilla or any other
  sum of power laws (`forms`), of Kaplan (`kaplan`), or for tokens seen again (`repeated_data`);
- `choice`: a law by the name of its form, and how each form predicts the largest scales;
- `published`: the same laws with the constants that others found;
- `approaches`: how the best N and D grow with compute, in each of Chinchilla's three ways;
- `budget`: the best N and D for a budget of FLOPs, seconds or money; `step_time` measures what a
  token costs in seconds;
- `crossover`: the compute from which one recipe beats another;
- `sparse`: the parameter count to use where it changes while training;
- `estimators`: the laws as scikit-learn estimators.
"""
