__version__ = "0.1.0"

from types import ModuleType as _Module

from .core import *
from .data.images import *
from .data.pickles import *
from .data.arrays import *
from .data.files import *
from .data.sources import *
from .data.transforms import *
from .data.loaders import *
from .models.distributions import *
from .models.priors import *
from .models.stages import *
from .models.likelihoods import *
from .models.networks import *
from .models.vae import *
from .models.ladder import *
from .models.maps import *
from .models.codes import *
from .models.autoregressive import *
from .models.flows import *
from .models.deep import *
from .models.export import *
from .train.objectives import *
from .train.metrics import *
from .train.schedules import *
from .train.speed import *
from .train.checkpoints import *
from .train.state import *
from .train.runs import *
from .train.learner import *
from .train.priors import *
from .train.steady import *
from .train.features import *
from .train.adversary import *
from .analyse.tables import *
from .analyse.components import *
from .analyse.numbers import *
from .analyse.codes import *
from .analyse.drawing import *
from .analyse.plots import *
from .analyse.levels import *
from .analyse.receptive import *
from .analyse.quality import *
from .analyse.factors import *
from .analyse.explore import *
from .analyse.watch import *
from .results import *

# what the modules above call public, without the names of the modules themselves
__all__ = [k for k,v in globals().items() if not (k.startswith('_') or isinstance(v, _Module))]
