"""Families of environments."""

from tfcaml.environments.base import Population, TaskFamily
from tfcaml.environments.conformance import check
from tfcaml.environments.glucose import Glucose, GlucoseConfig
from tfcaml.environments.host.atari import Atari, AtariConfig
from tfcaml.environments.host.cart_pole import CartPole, CartPoleConfig
from tfcaml.environments.host.environment import HostEnvironment
from tfcaml.environments.mujoco.ant import (
    AntDirection,
    AntDirectionConfig,
    AntGoal,
    AntGoalConfig,
    AntVelocity,
    AntVelocityConfig,
    GoalAnt,
    GoalAntConfig,
)
from tfcaml.environments.mujoco.ant_courses import (
    AntMaze,
    AntMazeConfig,
    AntObstacles,
    AntObstaclesConfig,
)
from tfcaml.environments.mujoco.ant_tasks import (
    AntBandits,
    AntBanditsConfig,
    AntMovement,
    AntMovementConfig,
    HeavyAntConfig,
)
from tfcaml.environments.mujoco.colour_push import ColourPush, ColourPushConfig
from tfcaml.environments.mujoco.colour_reach import ColourReach, ColourReachConfig
from tfcaml.environments.mujoco.half_cheetah import (
    HalfCheetahDirection,
    HalfCheetahDirectionConfig,
    HalfCheetahVelocity,
    HalfCheetahVelocityConfig,
)
from tfcaml.environments.mujoco.hopper import (
    DirHopper,
    DirHopperConfig,
    NormalHopper,
    NormalHopperConfig,
)
from tfcaml.environments.mujoco.pusher import (
    Pusher,
    PusherConfig,
)
from tfcaml.environments.mujoco.random_robots import (
    RandomHopper,
    RandomHopperConfig,
    RandomReacher,
    RandomReacherConfig,
    RandomWalker,
    RandomWalkerConfig,
)
from tfcaml.environments.mujoco.rings import (
    AntRing,
    AntRingConfig,
    RingConfig,
    WheeledRing,
)
from tfcaml.environments.mujoco.targets import (
    AntTarget,
    Reacher2,
    Reacher4,
    TargetConfig,
    Wheeled,
)
from tfcaml.environments.native.all_walk import AllWalk, AllWalkConfig
from tfcaml.environments.native.bandit import Bandit, BanditConfig
from tfcaml.environments.native.catch import Catch, CatchConfig
from tfcaml.environments.native.discounting_chain import DiscountingChain, DiscountingChainConfig
from tfcaml.environments.native.four_rooms import FourRooms, FourRoomsConfig
from tfcaml.environments.native.key_door import KeyDoor, KeyDoorConfig
from tfcaml.environments.native.maze import Maze, MazeConfig
from tfcaml.environments.native.mountain_car import MountainCar, MountainCarConfig
from tfcaml.environments.native.moving_bandits import MovingBandits, MovingBanditsConfig
from tfcaml.environments.native.navigation import Navigation, NavigationConfig
from tfcaml.environments.native.particle import Particle, ParticleConfig
from tfcaml.environments.native.point_ring import PointRing, PointRingConfig
from tfcaml.environments.native.point_target import PointTarget, PointTargetConfig
from tfcaml.environments.native.reward_process import RewardProcess, RewardProcessConfig
from tfcaml.environments.native.tabular_mdp import TabularMDP, TabularMDPConfig
from tfcaml.environments.native.turned_point import TurnedPoint, TurnedPointConfig
from tfcaml.environments.supervised.few_shot import DrawnImages, FewShot, FewShotConfig
from tfcaml.environments.supervised.image_folders import ImageFolders, ImageFoldersConfig
from tfcaml.environments.supervised.omniglot import Omniglot, OmniglotConfig
from tfcaml.environments.supervised.sinusoid import Sinusoid, SinusoidConfig
from tfcaml.environments.supervised.strokes import Strokes, StrokesConfig

# name in a config -> (family, its options)
ENVIRONMENTS = {
    "all_walk": (AllWalk, AllWalkConfig),
    "ant_bandits": (AntBandits, AntBanditsConfig),
    "ant_direction": (AntDirection, AntDirectionConfig),
    "ant_goal": (AntGoal, AntGoalConfig),
    "ant_maze": (AntMaze, AntMazeConfig),
    "ant_movement": (AntMovement, AntMovementConfig),
    "ant_obstacles": (AntObstacles, AntObstaclesConfig),
    "ant_ring": (AntRing, AntRingConfig),
    "ant_target": (AntTarget, TargetConfig),
    "ant_velocity": (AntVelocity, AntVelocityConfig),
    "atari": (Atari, AtariConfig),
    "bandit": (Bandit, BanditConfig),
    "cart_pole": (CartPole, CartPoleConfig),
    "catch": (Catch, CatchConfig),
    "colour_reach": (ColourReach, ColourReachConfig),
    "colour_push": (ColourPush, ColourPushConfig),
    "dir_hopper": (DirHopper, DirHopperConfig),
    "discounting_chain": (DiscountingChain, DiscountingChainConfig),
    "four_rooms": (FourRooms, FourRoomsConfig),
    "glucose": (Glucose, GlucoseConfig),
    "goal_ant": (GoalAnt, GoalAntConfig),
    "half_cheetah_direction": (HalfCheetahDirection, HalfCheetahDirectionConfig),
    "half_cheetah_velocity": (HalfCheetahVelocity, HalfCheetahVelocityConfig),
    "image_folders": (ImageFolders, ImageFoldersConfig),
    "key_door": (KeyDoor, KeyDoorConfig),
    "maze": (Maze, MazeConfig),
    "mountain_car": (MountainCar, MountainCarConfig),
    "moving_bandits": (MovingBandits, MovingBanditsConfig),
    "navigation": (Navigation, NavigationConfig),
    "normal_hopper": (NormalHopper, NormalHopperConfig),
    "omniglot": (Omniglot, OmniglotConfig),
    "particle": (Particle, ParticleConfig),
    "point_target": (PointTarget, PointTargetConfig),
    "point_ring": (PointRing, PointRingConfig),
    "pusher": (Pusher, PusherConfig),
    "random_hopper": (RandomHopper, RandomHopperConfig),
    "random_reacher": (RandomReacher, RandomReacherConfig),
    "random_walker": (RandomWalker, RandomWalkerConfig),
    "reacher_2": (Reacher2, TargetConfig),
    "reacher_4": (Reacher4, TargetConfig),
    "reward_process": (RewardProcess, RewardProcessConfig),
    "sinusoid": (Sinusoid, SinusoidConfig),
    "strokes": (Strokes, StrokesConfig),
    "tabular_mdp": (TabularMDP, TabularMDPConfig),
    "turned_point": (TurnedPoint, TurnedPointConfig),
    "wheeled": (Wheeled, TargetConfig),
    "wheeled_ring": (WheeledRing, RingConfig),
}

__all__ = [
    "AllWalk",
    "AllWalkConfig",
    "AntBandits",
    "AntBanditsConfig",
    "AntDirection",
    "AntDirectionConfig",
    "AntGoal",
    "AntGoalConfig",
    "AntMaze",
    "AntMazeConfig",
    "AntMovement",
    "AntMovementConfig",
    "AntObstacles",
    "AntObstaclesConfig",
    "AntVelocity",
    "AntVelocityConfig",
    "Atari",
    "AtariConfig",
    "Bandit",
    "BanditConfig",
    "Catch",
    "CatchConfig",
    "ColourReach",
    "ColourReachConfig",
    "ColourPush",
    "ColourPushConfig",
    "DirHopper",
    "DirHopperConfig",
    "DiscountingChain",
    "DrawnImages",
    "DiscountingChainConfig",
    "CartPole",
    "CartPoleConfig",
    "ENVIRONMENTS",
    "TaskFamily",
    "FewShot",
    "FewShotConfig",
    "FourRooms",
    "FourRoomsConfig",
    "Glucose",
    "GlucoseConfig",
    "GoalAnt",
    "GoalAntConfig",
    "HalfCheetahDirection",
    "HalfCheetahDirectionConfig",
    "HalfCheetahVelocity",
    "HalfCheetahVelocityConfig",
    "HeavyAntConfig",
    "HostEnvironment",
    "ImageFolders",
    "ImageFoldersConfig",
    "KeyDoor",
    "KeyDoorConfig",
    "Maze",
    "MazeConfig",
    "MountainCar",
    "MountainCarConfig",
    "MovingBandits",
    "MovingBanditsConfig",
    "Navigation",
    "NavigationConfig",
    "NormalHopper",
    "NormalHopperConfig",
    "Omniglot",
    "OmniglotConfig",
    "Particle",
    "ParticleConfig",
    "PointTarget",
    "PointTargetConfig",
    "PointRing",
    "PointRingConfig",
    "Population",
    "RewardProcess",
    "RewardProcessConfig",
    "Sinusoid",
    "SinusoidConfig",
    "check",
    "Pusher",
    "PusherConfig",
    "RandomHopper",
    "RandomHopperConfig",
    "RandomReacher",
    "RandomReacherConfig",
    "RandomWalker",
    "RandomWalkerConfig",
    "AntRing",
    "AntRingConfig",
    "RingConfig",
    "WheeledRing",
    "AntTarget",
    "Reacher2",
    "Reacher4",
    "Strokes",
    "StrokesConfig",
    "TabularMDP",
    "TabularMDPConfig",
    "TargetConfig",
    "TurnedPoint",
    "TurnedPointConfig",
    "Wheeled",
]
